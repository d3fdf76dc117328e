//! patchbay-empty ROUTERS DEVICES: a network of patchbay with so many home routers and devices behind them, built and taken
//! down. For `ci/bench harness`.
use patchbay::{Lab, RouterPreset};

fn main() -> anyhow::Result<()> {
    patchbay::init_userns()?;
    run()
}

#[tokio::main]
async fn run() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let (Some(Ok(routers)), Some(Ok(devices))) = (words.next(), words.next()) else {
        anyhow::bail!("usage: patchbay-empty ROUTERS DEVICES");
    };
    let lab = Lab::new().await?;
    let mut homes = Vec::new();
    for i in 0..routers {
        homes.push(lab.add_router(&format!("r{i}")).preset(RouterPreset::Home).build().await?);
    }
    let mut kept = Vec::new();
    for i in 0..devices {
        kept.push(lab.add_device(&format!("n{i}")).iface("eth0", homes[i % routers].id()).build().await?);
    }
    println!("{}", kept.len());
    Ok(())
}
